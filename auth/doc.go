// Package auth speaks etcd's Auth service (etcdserverpb.Auth): users, the roles
// that they have, the keys that the roles may read and write, and whether all of
// that is enforced.
//
//	a := auth.New(conn)
//	_, err := a.UserAdd(ctx, "root", password)
//	_, err = a.RoleAdd(ctx, "root")
//	_, err = a.UserGrantRole(ctx, "root", "root")
//	_, err = a.AuthEnable(ctx)
//
// # Users, roles, permissions
//
// A role has permissions, each to read, to write, or both, on a key or a range
// of keys; a user has roles, and may what any of them may. The role root may
// everything, and needs no permissions. Enforcing begins with AuthEnable, which
// demands a user root that has the role root.
//
// Ranges are written as elsewhere in etcd: a key and an empty end is one key,
// otherwise the range is [key, end), and "\x00" as the end is no bound. Everything
// that begins with a prefix is
//
//	a.RoleGrantPermission(ctx, role, prefix, kv.GetPrefixRangeEnd(prefix), auth.PermReadWrite)
//
// RoleRevokePermission takes away the permission with just that key and end; it
// cuts nothing out of a wider one.
//
// # Tokens
//
// Authenticate exchanges a password for a token, which requests carry as
// metadata. A client that is configured with a user does that by itself; a
// caller of this package needs it only to hand a token to somebody else. Every
// change to users, roles and permissions gives the store a new revision, and
// tokens of an older one may be refused once (rpctypes.ErrAuthOldRevision).
//
// # Passwords
//
// Passwords travel as they are, and TLS is what protects them on the way; the
// server keeps a bcrypt hash (golang.org/x/crypto/bcrypt) and sends the hash
// alone through raft. A user made with UserAddOptions.NoPassword is one that only
// a client certificate with its name can be. UserSetPasswordHash sets a
// hash that was made elsewhere.
//
// # Errors
//
// A call that cannot mean anything is an error that says so, and nothing was
// sent. What the server has no method for is errors.ErrUnsupported, with the
// version that has it in the text. Everything else is the connection's error as
// it is: on a client's, errors.Is finds rpctypes' errors and the context's. A
// change whose answer was lost may have been applied: client.IsAmbiguous tells.
package auth
