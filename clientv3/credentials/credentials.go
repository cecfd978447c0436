// Package credentials mirrors go.etcd.io/etcd/client/v3/credentials: tokens for
// connections that are made without a client. A client manages its own token.
package credentials

import (
	"context"
	"crypto/tls"
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	grpccredentials "google.golang.org/grpc/credentials"
)

// NewTransportCredential returns gRPC's TLS credentials. Nil means the
// certificate authorities of the system.
func NewTransportCredential(cfg *tls.Config) grpccredentials.TransportCredentials {
	return grpccredentials.NewTLS(cfg)
}

// PerRPCCredentialsBundle sends a token with each request unless the token is
// empty. It is safe for concurrent use.
type PerRPCCredentialsBundle interface {
	// UpdateAuthToken sets the token for future requests.
	UpdateAuthToken(token string)
	// PerRPCCredentials returns the credentials in gRPC's form.
	PerRPCCredentials() grpccredentials.PerRPCCredentials
}

// NewPerRPCCredentialBundle returns a bundle without a token.
func NewPerRPCCredentialBundle() PerRPCCredentialsBundle { return &bundle{} }

type bundle struct{ token atomic.Pointer[string] }

func (b *bundle) UpdateAuthToken(token string) { b.token.Store(&token) }

func (b *bundle) PerRPCCredentials() grpccredentials.PerRPCCredentials { return b }

func (b *bundle) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token := b.token.Load()
	if token == nil || *token == "" {
		return nil, nil //nolint:nilnil // no metadata, as gRPC has it
	}
	return map[string]string{rpctypes.TokenFieldNameGRPC: *token}, nil
}

// RequireTransportSecurity returns false: etcd accepts tokens without TLS, too.
func (b *bundle) RequireTransportSecurity() bool { return false }
