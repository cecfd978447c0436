// Package names compares what two packages export, name by name, on their types: it
// tells whether a program that was written for one compiles with the other when
// nothing but its import paths are changed.
//
// Two declarations are identical when they have the same kind and the same type,
// where the types of the packages on either side that have the same name count as
// the same type. Unexported fields and methods do not count, since no program can
// name them, except that a struct that has some cannot be written without field
// names, nor an interface that has some be implemented.
//
// More is allowed: a type may have more methods, and a struct that has unexported
// fields anyway more fields. An interface may not: programs implement it.
package names
