// Package history checks whether the results that a client got for one key are
// those of a linearizable register (Herlihy and Wing, 1990): each operation takes
// effect at one instant between its call and its return. porcupine searches for
// these instants.
//
// An operation with an unknown outcome may take effect at any instant after its
// call, or never.
package history
