// Package integration has the tests that need real things: etcd processes that
// are killed and moved, DNS servers over UDP and TCP, certificates, and
// passwords. Other tests may use its building blocks, too: package cluster runs
// real etcd clusters, dnsserver is a DNS server whose zone can be edited, proxy
// breaks links, and certs makes certificates.
package integration
