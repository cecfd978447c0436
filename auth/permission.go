package auth

import (
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/authpb"
)

// PermissionType is what a permission permits.
type PermissionType authpb.Permission_Type

// The types of permissions.
const (
	// PermRead permits reading and watching.
	PermRead = PermissionType(authpb.Permission_READ)
	// PermWrite permits puts and deletions.
	PermWrite = PermissionType(authpb.Permission_WRITE)
	// PermReadWrite permits both.
	PermReadWrite = PermissionType(authpb.Permission_READWRITE)
)

// ParsePermissionType reads "read", "write" or "readwrite", in whatever case.
// Anything else is an error, with a type of -1, which the server refuses.
func ParsePermissionType(s string) (PermissionType, error) {
	if t, ok := authpb.Permission_Type_value[strings.ToUpper(s)]; ok {
		return PermissionType(t), nil
	}
	return -1, fmt.Errorf("auth: %q is no type of permission; use read, write or readwrite", s)
}
