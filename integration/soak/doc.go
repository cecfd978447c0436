// Command soak runs checkers, one after another, against a real cluster with
// random faults. It fails if one of them finds a violation.
//
//	go run ./integration/soak -for 10m -seed 1 -check watch,coordination
//
// See docs/measurements/soak.md.
package main
