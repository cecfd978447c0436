// Package watch speaks etcd's Watch service.
package watch
