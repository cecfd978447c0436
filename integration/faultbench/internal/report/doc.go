// Package report turns what the fault bench measured into a table, JSON and
// pictures.
//
// All times are relative to the start of the fault; times before it are negative.
// A Cell is one fault of one cluster. A Series has the calls of one client's
// workers during the fault. A Row has the numbers of a series.
package report
