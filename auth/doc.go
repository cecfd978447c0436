// Package auth is a client of etcd's Auth service (etcdserverpb.Auth). The
// service manages users, their roles, the keys that each role may read and write,
// and whether permissions are enforced.
//
//	a := auth.New(conn)
//	_, err := a.UserAdd(ctx, "root", password)
//	_, err = a.RoleAdd(ctx, "root")
//	_, err = a.UserGrantRole(ctx, "root", "root")
//	_, err = a.AuthEnable(ctx)
//
// # Users, roles, permissions
//
// A role has permissions to read, to write, or to do both, each on a key or a
// range of keys. A user may do whatever any of its roles permits. The role root
// may do everything and needs no permissions. AuthEnable turns on enforcement; it
// requires a user root that has the role root.
//
// Ranges are written as elsewhere in etcd. An empty end means the single key;
// otherwise the range is [key, end). An end of "\x00" means that the range has no
// upper bound. To grant access to every key with a prefix:
//
//	a.RoleGrantPermission(ctx, role, prefix, kv.GetPrefixRangeEnd(prefix), auth.PermReadWrite)
//
// RoleRevokePermission takes away the permission with exactly that key and end.
// It cannot cut a part out of a wider permission.
//
// # Tokens
//
// Authenticate exchanges a password for a token, which later requests carry as
// metadata. A client that is configured with a user does this automatically; call
// Authenticate only to hand a token to another program. Every change to users,
// roles or permissions raises the auth store's revision. The server may then
// refuse a token of an older revision once (rpctypes.ErrAuthOldRevision).
//
// # Passwords
//
// Passwords are sent in plain text, so use TLS. The server stores a bcrypt hash
// (golang.org/x/crypto/bcrypt), and only the hash goes through raft. A user that
// was added with UserAddOptions.NoPassword can log in only with a client
// certificate that carries the user's name. UserSetPasswordHash sets a hash that
// was computed elsewhere.
//
// # Errors
//
// An invalid call returns an error that says what is wrong, and sends nothing. If
// the server does not have the method, the error is errors.ErrUnsupported, and
// its text names the etcd version that is needed. All other errors are the
// connection's, unchanged. On a client's connection, errors.Is finds the errors
// of rpctypes and of the context. A change whose response was lost may have been
// applied; client.IsAmbiguous reports this.
package auth
