// Package lesson is the program of the guided tour, docs/tour: twelve lessons, a file
// each, on a real cluster. What a lesson prints is the listing on its page, and
// TestPages compares the two.
//
// lesson.go has the list of them, stage.go what a lesson is given, screen.go and names.go
// make two runs print the same.
package lesson
