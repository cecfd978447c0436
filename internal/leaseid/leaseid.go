// Package leaseid has the type of a lease's ID, which packages kv and lease share
// without one importing the other. Users know it as lease.ID and kv.LeaseID.
package leaseid

// ID names a lease.
type ID int64

// None is the zero ID: not a lease.
const None ID = 0
