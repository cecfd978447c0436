// Package credentials has the names of go.etcd.io/etcd/client/v3/credentials: tokens
// for connections that are made without a client, which has its own.
package credentials

import (
	"context"
	"crypto/tls"
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	grpccredentials "google.golang.org/grpc/credentials"
)

// NewTransportCredential returns gRPC's TLS credentials. Nil means the system's
// certificate authorities.
func NewTransportCredential(cfg *tls.Config) grpccredentials.TransportCredentials {
	return grpccredentials.NewTLS(cfg)
}

// PerRPCCredentialsBundle sends a token with each request, and none while that is
// empty. It is safe for concurrent use.
type PerRPCCredentialsBundle interface {
	// UpdateAuthToken sets the token for the requests to come.
	UpdateAuthToken(token string)
	// PerRPCCredentials is what gRPC takes.
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

// RequireTransportSecurity is false: etcd takes tokens without TLS, too.
func (b *bundle) RequireTransportSecurity() bool { return false }
