// Package stm is software transactional memory on etcd: a function reads and
// writes keys as if it were alone, and its writes are applied together or not at
// all.
//
//	_, err := stm.Run(ctx, store, func(tx stm.STM) error {
//		from, err := strconv.Atoi(tx.Get("alice"))
//		if err != nil || from < 10 {
//			return errNotEnough // nothing was written
//		}
//		...
//		tx.Put("alice", strconv.Itoa(from-10))
//		tx.Put("bob", strconv.Itoa(to+10))
//		return nil
//	})
//
// # How it works
//
// It is optimistic: no key is locked. The function's reads go to the cluster, its
// writes stay here, and when it returns nil one transaction (etcd's Txn) compares
// what was read with what is there, and applies the writes if nothing has come
// between. If something has, that is a conflict: what was read is thrown away, and
// the function is called again, with values that the very same transaction has
// brought back. The first repetition comes at once, the others after growing
// random pauses, until ctx ends. So the function must do nothing that may not be
// done several times, and must not take its reads for true before Run has returned.
//
// # Isolation
//
// The levels differ in which reads agree with each other while the function runs,
// and in what the commit compares:
//
//	                      reads                    the commit compares
//	SerializableSnapshot  of one revision          what was read and what is written
//	Serializable          of one revision          what was read
//	RepeatableReads       of each key, the first   what was read
//	ReadCommitted         of each key, the first   nothing
//
// and so in what can go wrong:
//
//	                      lost     write   inconsistent   overwriting
//	                      updates  skew    reads          blindly
//	SerializableSnapshot  no       no      no             no
//	Serializable          no       no      no             yes
//	RepeatableReads       no       no      in tries that  yes
//	                                       are thrown away
//	ReadCommitted         yes      yes     yes            yes
//
// An update is lost when two transactions read the same value and the second to
// write does not know of the first. Writes are skewed when each of two transactions
// reads what the other one writes. Blind is a write to a key that was not read.
//
// # Failures
//
// When reading fails, Run returns why. When committing fails, it returns a
// *CommitError, which tells whether the writes may have been applied; Run does not
// repeat a commit of which that is not known, since they might be applied twice.
// With a client's KV the connection has by then repeated what may be repeated.
//
// A transaction of etcd has at most 128 operations and 128 comparisons (--max-txn-ops):
// so many keys may be read, and so many written. With SerializableSnapshot those that are
// written without being read are compared, too, and count with those that are read.
package stm
