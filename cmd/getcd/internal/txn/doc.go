// Package txn reads the text form of a transaction, as etcdctl's txn command
// does: three sections of lines, each ended by an empty line.
//
//	mod("key1") > "0"
//
//	put key1 "overwrote-key1"
//
//	put key1 "created-key1"
//	put key2 "some extra key"
//	‹empty line›
//
// The first section holds the comparisons, the second the requests for when all
// of them hold, and the third the requests for when one does not. Any section
// may be empty, but each must end with its empty line: input that stops before
// is cut off, and half a transaction is worse than none.
//
// A comparison is target("key") operator "value". The target is ver, version,
// c, create, m, mod, val, value or lease; the operator is =, !=, < or >. The
// quoted strings are Go's, in double quotes or in backquotes.
//
// A request is put, get or del (a prefix of the word is enough) with the flags
// and arguments of that command. Words are apart by spaces. A word in single
// quotes is taken as it stands, one in double quotes may hold Go's escapes.
package txn
