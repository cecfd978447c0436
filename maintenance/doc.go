// Package maintenance speaks etcd's Maintenance service
// (etcdserverpb.Maintenance): alarms, defragmentation, a member's status,
// hashes, snapshots, moving the leader, and downgrades.
//
//	m := maintenance.New(conn)
//	info, err := m.SaveFile(ctx, "backup.db")
//
// Unlike the other services, most of this one is about a single member: its
// database is defragmented, its state is hashed, its view of raft is told. On a
// connection that may go to any member, the answer is that of whichever member
// is asked; the header says which.
//
// # One member
//
// Defragment, Status and HashKV take the endpoint of the member that is meant,
// and At makes a Service whose every call goes to one:
//
//	m := maintenance.New(conn, maintenance.WithEndpointDialer(dial))
//	status, err := m.Status(ctx, "10.0.0.3:2379")
//	_, err = m.At("10.0.0.1:2379").MoveLeader(ctx, target)
//
// Such a call is made on a connection of its own, which ends with it, and does
// not fail over: another member's answer would be wrong. How to connect is the
// dialer's business. Without a dialer such a call is ErrNoEndpointDialer; an empty
// endpoint means the connection that New was given.
//
// # Snapshots
//
// A snapshot is the database file of one member, as it was at one revision,
// followed by the SHA-256 of it: the file that etcdutl restores a cluster from.
// The server sends it in messages of 32 KiB, each with the number of bytes that
// are still to come, and the digest as the last one
// (server/etcdserver/api/v3rpc/maintenance.go). So the client can tell a complete
// snapshot from one that was cut short, and a sound one from one that was
// damaged on its way, and this package does: whoever reads a snapshot gets io.EOF
// only when its length and its digest are right, and a *TruncatedError or a
// *ChecksumError otherwise.
//
// # Errors
//
// A call that cannot mean anything is an error that says so, and nothing was
// sent. What the server has no method for is errors.ErrUnsupported, with the
// version that has it in the text. Everything else is the connection's error as
// it is: on a client's, errors.Is finds rpctypes' errors and the context's.
package maintenance
