package client_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// A server with JWTs refuses one that was made before users or roles have changed last: the
// client gets another, once. Servers before 3.6 say so in words of their own.
func TestOlderTokenIsRenewed(t *testing.T) {
	for name, refusal := range map[string]error{
		"etcd 3.5": status.Error(codes.Unknown, "auth: revision in header is old"),
		"etcd 3.7": rpctypes.ErrGRPCAuthOldRevision,
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 1, asRoot, func(r *rig) {
				var mu sync.Mutex
				revision, logins := 1, 0
				r.cluster.Member(0).Intercept(func(ctx context.Context, method string, _ any, next func() (any, error)) (any, error) {
					mu.Lock()
					defer mu.Unlock()
					token := fmt.Sprintf("a.b.%d", revision)
					switch method {
					case pb.Auth_Authenticate_FullMethodName:
						logins++
						return &pb.AuthenticateResponse{Header: &pb.ResponseHeader{}, Token: token}, nil
					case pb.KV_Put_FullMethodName:
						md, _ := metadata.FromIncomingContext(ctx)
						if got := md.Get(rpctypes.TokenFieldNameGRPC); len(got) != 1 || got[0] != token {
							return nil, refusal
						}
					}
					return next()
				})
				for i := range 3 { // a change of users before each but the first
					if err := r.put(r.timeout(time.Minute), "k", "v"); err != nil {
						t.Errorf("put %d: %v", i, err)
					}
					mu.Lock()
					if logins != i+1 {
						t.Errorf("put %d: %d logins, want %d", i, logins, i+1)
					}
					revision++
					mu.Unlock()
				}
				if got := r.version(); got != 3 {
					t.Errorf("the key was written %d times, want 3", got)
				}
			})
		})
	}
}
