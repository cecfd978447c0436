package auth

import (
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/authpb"
)

// PermissionType says what a permission allows.
type PermissionType authpb.Permission_Type

// The types of permissions.
const (
	// PermRead allows reading and watching.
	PermRead = PermissionType(authpb.Permission_READ)
	// PermWrite allows puts and deletes.
	PermWrite = PermissionType(authpb.Permission_WRITE)
	// PermReadWrite allows both.
	PermReadWrite = PermissionType(authpb.Permission_READWRITE)
)

// ParsePermissionType parses "read", "write" or "readwrite", in any case. For any
// other string it returns -1, which the server refuses, and an error.
func ParsePermissionType(s string) (PermissionType, error) {
	if t, ok := authpb.Permission_Type_value[strings.ToUpper(s)]; ok {
		return PermissionType(t), nil
	}
	return -1, fmt.Errorf("auth: %q is not a type of permission; use read, write or readwrite", s)
}
