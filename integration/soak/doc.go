// The command soak runs checkers, one after the other, against a real cluster through
// random faults, and fails when one of them finds what must not be.
//
//	go run ./integration/soak -for 10m -seed 1 -check watch,coordination
//
// See docs/soak.md.
package main
