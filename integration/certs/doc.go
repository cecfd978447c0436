// Package certs makes throwaway certificates for tests: an authority, and
// certificates for servers and clients that it signs, as PEM files and as
// crypto/tls values. Keys are ECDSA P-256, which are fast to generate. Do not use
// it to protect anything.
//
//	ca, err := certs.New(t.TempDir())
//	server, err := ca.Server("localhost", "127.0.0.1")
//	client, err := ca.Client("alice")
//	tlsConfig, err := ca.ClientConfig(client) // trusts ca, presents client
package certs
