// Package txn parses the text form of a transaction, as etcdctl's txn command
// does: three sections of lines, each of which ends with an empty line.
//
//	mod("key1") > "0"
//
//	put key1 "overwrote-key1"
//
//	put key1 "created-key1"
//	put key2 "some extra key"
//	‹empty line›
//
// The first section has the comparisons. The second has the requests to make if
// all of them hold, and the third the requests to make otherwise. Any section may
// be empty, but each must end with its empty line. Input that stops earlier is an
// error, since half a transaction is worse than none.
//
// A comparison is target("key") operator "value". The target is ver, version, c,
// create, m, mod, val, value or lease; the operator is =, !=, < or >. The strings
// are quoted as in Go, in double quotes or in backquotes.
//
// A request is put, get or del (a prefix of the word is enough) with the flags
// and arguments of that command. Words are separated by spaces. A word in single
// quotes has no escapes; one in double quotes may have Go's escapes.
package txn
