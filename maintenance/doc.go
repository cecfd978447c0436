// Package maintenance is a client of etcd's Maintenance service
// (etcdserverpb.Maintenance): alarms, defragmentation, a member's status, hashes,
// snapshots, moving the leader, and downgrades.
//
//	m := maintenance.New(conn)
//	info, err := m.SaveFile(ctx, "backup.db")
//
// Unlike the other services, most of these calls concern a single member: they
// defragment its database, hash its state, or report its view of raft. On a
// connection that may go to any member, the response is that of whichever member
// received the call; the header says which.
//
// # One member
//
// Defragment, Status and HashKV take the endpoint of a member. At returns a
// Service that sends all of its calls to one member:
//
//	m := maintenance.New(conn, maintenance.WithEndpointDialer(dial))
//	status, err := m.Status(ctx, "10.0.0.3:2379")
//	_, err = m.At("10.0.0.1:2379").MoveLeader(ctx, target)
//
// Such a call opens a connection for itself and closes it afterward. It does not
// fail over, since another member's response would be wrong. The dialer decides
// how to connect. Without a dialer such a call returns ErrNoEndpointDialer. An
// empty endpoint means the connection that was given to New.
//
// # Snapshots
//
// A snapshot is one member's database file at one revision, followed by the
// file's SHA-256. etcdutl can restore a cluster from it. The server sends it in
// messages of 32 KiB, each with the number of bytes that are still to come, and
// the digest as the last one (server/etcdserver/api/v3rpc/maintenance.go). This
// package checks both: a reader gets io.EOF only if the length and the digest are
// right, and otherwise a *TruncatedError or a *ChecksumError.
//
// # Errors
//
// An invalid call returns an error that says what is wrong, and sends nothing. If
// the server does not have the method, the error is errors.ErrUnsupported, and
// its text names the etcd version that is needed. All other errors are the
// connection's, unchanged. On a client's connection, errors.Is finds the errors
// of rpctypes and of the context.
package maintenance
