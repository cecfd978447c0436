// Package getcd is the root of an etcd v3 client. A program imports the packages below
// it: first [github.com/getcd/getcd/client], which has the configuration and the
// connection, and beside it those of the services that it uses, such as
// [github.com/getcd/getcd/kv], [github.com/getcd/getcd/watch] and
// [github.com/getcd/getcd/lock]. A program that was written for etcd's own client
// imports [github.com/getcd/getcd/clientv3] instead.
//
// Nothing is declared here.
package getcd

import (
	// With this import, "go get github.com/getcd/getcd" adds the modules that a program
	// needs to its go.mod. Of a module without a package in its root it would add that
	// module alone, and the program would not build.
	_ "github.com/getcd/getcd/client"
)
