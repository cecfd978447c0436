package lease

// ID names a lease. The cluster takes any non-zero 64-bit number; this package
// makes positive ones, which every tool prints the same way.
type ID int64

// NoLease is the zero ID: not a lease. A key put with it lives until it is
// deleted, and the calls of this package refuse it.
const NoLease ID = 0
