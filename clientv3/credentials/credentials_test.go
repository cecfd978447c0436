package credentials_test

import (
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/clientv3/credentials"
)

func TestToken(t *testing.T) {
	b := credentials.NewPerRPCCredentialBundle()
	for _, want := range []string{"", "first", "second", ""} {
		b.UpdateAuthToken(want)
		md, err := b.PerRPCCredentials().GetRequestMetadata(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := md[rpctypes.TokenFieldNameGRPC]; got != want {
			t.Errorf("the token is %q, want %q", got, want)
		}
		if _, there := md[rpctypes.TokenFieldNameGRPC]; there != (want != "") {
			t.Errorf("with the token %q the metadata is %v", want, md)
		}
	}
	if b.PerRPCCredentials().RequireTransportSecurity() {
		t.Error("the token demands TLS, which etcd does not")
	}
}

func TestTransport(t *testing.T) {
	if got := credentials.NewTransportCredential(nil).Info().SecurityProtocol; got != "tls" {
		t.Errorf("the protocol is %q, want tls", got)
	}
}
