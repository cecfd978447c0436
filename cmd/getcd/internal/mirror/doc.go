// Package mirror copies keys from one cluster to another, and then every change
// to them. It applies each change exactly once and in order, even if members and
// connections fail on either side.
//
// # From the source
//
// The state is read in pages, all at one revision. Package watch delivers the
// later changes, each exactly once. Both continue if members fail.
//
// # To the destination
//
// Each revision becomes one transaction. If its outcome is unknown, because the
// member that received it was lost, it must be neither skipped nor applied twice:
// watchers would see the change twice, and a late transaction could undo later
// changes. So each transaction has a guard: it is applied only if none of its
// keys has changed since the previous transaction. When a transaction is
// repeated, the guard shows whether it was already applied. When a transaction
// arrives late, the repeated one has already broken its guard.
//
// A guard cannot distinguish a deleted key from one that never existed. So after
// a transaction had to be repeated, its keys are not deleted for a while
// ([Settle]). One case remains: if a destination member stops with the first
// transaction and resumes after more than that time, it may bring back a key that
// was deleted since.
//
// If another program writes to the destination, its changes are lost. The guard
// fails, and the transaction is repeated and overwrites them, as it would have
// without a guard.
//
// A guard needs permission to read the keys. If the destination's user may only
// write, there is no guard, and a change with an unknown outcome ends the mirror.
package mirror
