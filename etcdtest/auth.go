package etcdtest

import (
	"context"
	"fmt"
	"maps"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/metadata"
)

type authServer struct {
	pb.UnimplementedAuthServer
	m *Member
}

// Authenticate hands out simple tokens, which are good at every member.
func (as *authServer) Authenticate(ctx context.Context, r *pb.AuthenticateRequest) (*pb.AuthenticateResponse, error) {
	if err := as.m.awaitLeader(ctx); err != nil {
		return nil, err
	}
	c := as.m.c
	rev := c.store.revision()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users == nil {
		return nil, rpctypes.ErrGRPCAuthNotEnabled
	}
	if want, known := c.users[r.Name]; !known || want != r.Password {
		return nil, rpctypes.ErrGRPCAuthFailed
	}
	c.tokenCount++
	token := fmt.Sprintf("simple-token.%d", c.tokenCount)
	c.tokens[token] = r.Name
	return &pb.AuthenticateResponse{Header: as.m.headerLocked(rev), Token: token}, nil
}

// EnableAuth makes every call but Authenticate need a token from then on. users
// maps names to passwords; all of them may do everything.
func (c *Cluster) EnableAuth(users map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users = make(map[string]string, len(users)) // not nil, which is disabled
	maps.Copy(c.users, users)
	c.tokens = make(map[string]string)
}

// ExpireTokens makes all tokens invalid that were given out so far.
func (c *Cluster) ExpireTokens() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.tokens)
}

// DisableAuth makes calls need no token any more.
func (c *Cluster) DisableAuth() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users, c.tokens = nil, nil
}

// checkToken returns what etcd says of the token in ctx's metadata.
func (c *Cluster) checkToken(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	sent := md.Get(rpctypes.TokenFieldNameGRPC)
	if len(sent) == 0 {
		sent = md.Get(rpctypes.TokenFieldNameSwagger)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users == nil {
		return nil
	}
	if len(sent) == 0 {
		return rpctypes.ErrGRPCUserEmpty
	}
	if _, ok := c.tokens[sent[0]]; !ok {
		return rpctypes.ErrGRPCInvalidAuthToken
	}
	return nil
}
