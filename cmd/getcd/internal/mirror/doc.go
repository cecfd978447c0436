// Package mirror copies keys from one cluster to another, and then every change of
// them, each exactly once and in order, whatever happens to members and
// connections on either side.
//
// # From the source
//
// The state is read in pages, all of one revision; package watch delivers the
// changes after it, each exactly once. Both go on when members fail.
//
// # To the destination
//
// Each revision is a transaction. When its outcome is unknown, because a member
// was lost that had it, it must neither be left out nor be applied twice: watchers
// there would see the change twice, and a transaction that is late could undo what
// came after it. So each of them is guarded: it holds only while none of its keys
// has changed since the transaction before. One that is repeated finds out by that
// whether it was applied already, and one that is late finds its guard broken by
// the repeated one.
//
// A guard cannot tell a key that was deleted from one that was never there. So a
// key of a transaction that had to be repeated is not deleted for a while ([Settle]).
// What no guard prevents is that a destination's member which was stopped with the
// first one, for longer than that, brings back a key that was deleted since.
//
// Others may write to the destination too, and lose: the guard notices, the
// transaction is repeated and replaces what they wrote, as it would have without a
// guard.
//
// A guard reads what it writes. When the destination's user may only write, there
// is none, and a change whose fate is unknown ends the mirror.
package mirror
