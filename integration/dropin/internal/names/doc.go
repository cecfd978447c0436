// Package names compares the exported names of two packages and their types. It
// reports whether a program that was written for one package compiles with the
// other after only its import paths are changed.
//
// Two declarations are identical if they have the same kind and the same type.
// Types with the same name in the two packages count as the same type. Unexported
// fields and methods are ignored, since no program can name them. There are two
// exceptions: a struct with unexported fields cannot be written without field
// names, and an interface with unexported methods cannot be implemented.
//
// Additions are allowed: a type may have more methods, and a struct that already
// has unexported fields may have more fields. An interface must not have more
// methods, since programs implement it.
package names
