// Package integration holds the tests that need real things: etcd processes that
// are killed and moved, DNS servers over UDP and TCP, certificates, passwords.
// What they are made of is for everybody's tests: package cluster runs real etcd
// clusters, dnsserver a DNS server whose zone can be edited, proxy breaks links,
// certs makes certificates.
package integration
