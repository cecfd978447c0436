package cluster

import (
	"fmt"
	"path/filepath"
	"time"
)

// controlSocket is the UNIX socket, in a member's working directory, for the
// cluster's own health checks. TLS, client certificates and faults on links do
// not apply to it. Its name has the form of a host and a port, as etcd 3.4
// requires.
const controlSocket = "control:2379"

// socket returns the absolute path of a socket in the member's working directory.
func (m *Member) socket(name string) string { return filepath.Join(m.dir, name) }

func (m *Member) clientScheme() string {
	if m.c.cfg.ClientTLS != nil {
		return "https"
	}
	return "http"
}

// peerURL returns the URL that the other members use. It never changes.
func (m *Member) peerURL() string {
	if m.c.cfg.Links {
		return "unix://" + peerLinkSocket(m)
	}
	return "http://" + m.peer.Address()
}

// listenPeer returns the URL on which the member listens for its peers.
func (m *Member) listenPeer() string {
	if m.c.cfg.Links {
		return "unix://" + peerSocket
	}
	return m.peerURL()
}

// listenClient returns the URL on which the member listens for its clients.
func (m *Member) listenClient() string {
	switch {
	case !m.c.cfg.Links:
		return m.ClientURL()
	case m.c.cfg.ClientTLS != nil:
		return "unixs://" + clientSocket
	default:
		return "unix://" + clientSocket
	}
}

// spec describes the member's next process.
func (m *Member) spec() *memberSpec {
	cfg := m.c.cfg
	return &memberSpec{
		Name:             m.name,
		Server:           m.c.server.path,
		DataDir:          m.data,
		ListenClient:     []string{m.listenClient(), "unix://" + controlSocket},
		AdvertiseClient:  m.ClientURL(),
		Peer:             m.peerURL(),
		ListenPeer:       m.listenPeer(),
		InitialCluster:   m.c.initialCluster(),
		Joins:            m.joins,
		Token:            m.c.token,
		ElectionMillis:   uint(cfg.ElectionTimeout / time.Millisecond),
		HeartbeatMillis:  uint(cfg.HeartbeatInterval / time.Millisecond),
		QuotaBytes:       cfg.QuotaBytes,
		Fsync:            cfg.Fsync,
		Disks:            cfg.Disks,
		TLS:              cfg.ClientTLS,
		ClientCertAuth:   cfg.ClientCertAuth,
		AuthToken:        cfg.AuthToken,
		AuthTokenSeconds: uint(cfg.AuthTokenTTL / time.Second),
		LogLevel:         cfg.LogLevel,
		Flags:            m.c.server.flags,
	}
}

// Log returns the last output of all of the member's processes, at most 16 KiB.
// It is empty if it cannot be read, as after Cluster.Stop.
func (m *Member) Log() string { return tail(m.log, 16<<10) }

// logSuffix returns the end of the log in a form to append to an error.
func (m *Member) logSuffix() string {
	if log := tail(m.log, 2<<10); log != "" {
		return fmt.Sprintf("; its log ends with:\n%s", log)
	}
	return ""
}
