// Package watch speaks etcd's Watch service (etcdserverpb.Watch): it tells what
// changes, revision by revision, from any revision that was not compacted.
//
//	for e, err := range watch.New(conn).Events(ctx, "config/", kv.WithPrefix()) {
//		if err != nil {
//			return err // why the watch ended
//		}
//		apply(e)
//	}
//
// Watch has clientv3's shape, a channel; Responses and Events are iterators,
// which end with an error; Follow reads the present state first and says when it
// has to be read anew.
//
// # Exactly once
//
// A watch survives the loss of streams, connections and members. It is resumed
// after the last revision that was taken into its consumer's buffer, or after
// the revision of its creation, or up to which the server has told progress in a
// way that can be believed (see RequestProgress), and not after a response's
// header, which runs ahead while history is replayed. A revision is delivered as
// a whole: one that arrives in fragments is kept until its last event is there.
//
// A watch ends with a cause, which errors.Is and errors.As tell apart:
//
//	*CompactedError          its next revision is gone (rpctypes.ErrCompacted)
//	*ClusterChangedError     the endpoints belong to another cluster
//	*RevisionRegressedError  the cluster was restored from a backup
//	*TooLargeError           a response is above the connection's limit
//	*ProtocolError           the server breaks the protocol, again and again
//	*CanceledError           the server refused it, such as rpctypes.ErrPermissionDenied
//	ErrClosed                Close was called
//
// and the context's error, a *kv.UsageError, or that of a closed connection.
// That a cluster with the same ID has lost revisions is noticed when a member is
// behind what was seen, in revision or raft term, and a linearizable read agrees.
// A restored cluster that has passed both before the watch is resumed cannot be
// told from the one before.
//
// # Streams
//
// All watches of one Watcher share streams: one for each 1,000 watches, and at
// most 8, because the server serves a stream with one goroutine and a queue of
// 128 responses, and watches that find it full wait. One goroutine owns the
// state of all of them; each stream adds two that receive and send. A watch has
// no goroutine of its own, unless its channel's consumer is behind.
//
// Watches of the same keys with the same options share one watch on the server, which
// sends each event once, however many there are. Each is first created for itself, so it
// has its own answer and its own beginning, and joins the others as soon as nothing is
// missed by that. Each has its own position and its own buffer. Up to 64 watches of
// parts of a range, made after one of the whole, share with it, unless they are
// WithProgressNotify. What ends the watch on the server ends those whose own watches it
// would have ended; the others are created again.
//
// So an Event may be given to several consumers, which must not modify it. To append to its
// keys and values is safe. WithOwnEvents gives each its own copy.
//
// A stream that fails is opened again after 10 ms to 1 s, growing and jittered,
// on another member where the connection can tell members apart,
// as a client's does. A stream that has been silent for 5 s is asked for its
// progress, and for the creation of a watch that sees nothing, since servers do
// not always answer the former. Whenever an answer is due the connection is told,
// which looks after a member that takes too long; whatever the
// connection, no answer in 3 s, and the stream has failed. Connections that die
// are the connection's business and are found earlier.
//
// A response above the connection's limit breaks its stream without a word of
// whose it was. The watches of that stream are then parted in halves, on streams
// of their own, until the one that cannot be served is alone and ends. The
// others miss nothing, and share streams again some seconds later.
//
// # Servers that are not etcd
//
// Behind etcd's gRPC proxy, and on other servers that choose the IDs of watches, a
// stream has one creation under way at a time, where etcd is asked for all at once.
// getcd ignores a response header that has no cluster ID: it proves nothing about the
// cluster. What such a server cancels for compaction is canceled by the client as well,
// and the next watch of the same keys waits for 0.25 s. RequestProgress returns
// errors.ErrUnsupported if the server does not answer such requests.
//
// # Slow consumers
//
// Each watch has a buffer of 16,384 events and 4 MiB (WithBuffer). Watches that share keep
// as much once more for each of them whose buffer is full, eight times at most. When there is
// no room, the watch alone is canceled on the server, and created again where it stands when
// the consumer has taken half of it. The others on its stream do not notice, memory stays
// flat, and nothing is lost, unless it is compacted meanwhile, which is a *CompactedError.
// Besides the buffer, a channel holds one response, and a goroutine that waits for it another.
//
// It is created again on a stream of its own, of which there are 16 at most. While its buffer is
// full, this stream is not read, so that HTTP/2's flow control stops the server: each event
// is sent once. Whatever the server has read from its store waits in the server's memory,
// so after 10 s the watch is canceled as before. A watch that has kept up for some seconds
// goes back to a shared stream.
package watch
