package auth_test

import (
	"fmt"

	"github.com/getcd/getcd/auth"
)

func ExampleParsePermissionType() {
	t, err := auth.ParsePermissionType("readwrite")
	fmt.Println(t == auth.PermReadWrite, err)
	_, err = auth.ParsePermissionType("execute")
	fmt.Println(err)
	// Output:
	// true <nil>
	// auth: "execute" is not a type of permission; use read, write or readwrite
}
