// Package history checks what a client was told about one key against what a
// linearizable register can do (Herlihy and Wing, 1990): each operation takes
// effect at one instant between its call and its return. The search for such
// instants is porcupine's.
//
// An operation of unknown outcome may take effect at any instant from its call
// on, or never.
package history
