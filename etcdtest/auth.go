package etcdtest

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// root is the user, and the role, that may do everything.
const root = "root"

// accounts are the users and roles of a cluster. Its mutex guards them.
type accounts struct {
	enabled    bool
	revision   uint64 // of the users and roles
	users      map[string]*user
	roles      map[string][]*authpb.Permission // by their keys
	tokens     map[string]string               // token to name
	tokenCount int
}

type user struct {
	password   string
	hashed     bool // the password is not known, since a member has no bcrypt
	noPassword bool
	roles      []string // in alphabetical order
}

func newAccounts() accounts {
	return accounts{
		revision: 1,
		users:    make(map[string]*user),
		roles:    make(map[string][]*authpb.Permission),
		tokens:   make(map[string]string),
	}
}

// EnableAuth switches authentication on: from then on, a call needs a token. It replaces
// all users by the given ones, by name and password, and gives each the role root. For
// roles, and for users who may do less, use etcd's Auth service, which can also switch
// authentication on.
func (c *Cluster) EnableAuth(users map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &c.accounts
	a.enabled = true
	a.revision++
	clear(a.users)
	clear(a.tokens)
	for name, password := range users {
		a.users[name] = &user{password: password, roles: []string{root}}
	}
}

// ExpireTokens makes all tokens invalid that the members have issued so far.
func (c *Cluster) ExpireTokens() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.accounts.tokens)
}

// DisableAuth switches authentication off: calls need no token. Users and roles stay.
func (c *Cluster) DisableAuth() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.accounts.disable()
}

func (a *accounts) disable() {
	if a.enabled {
		a.enabled = false
		a.revision++
		clear(a.tokens)
	}
}

// user returns who sent the token in ctx's metadata: nil while authentication is off.
func (a *accounts) user(ctx context.Context) (string, *user, error) {
	if !a.enabled {
		return "", nil, nil
	}
	md, _ := metadata.FromIncomingContext(ctx)
	sent := md.Get(rpctypes.TokenFieldNameGRPC)
	if len(sent) == 0 {
		sent = md.Get(rpctypes.TokenFieldNameSwagger)
	}
	if len(sent) == 0 {
		return "", nil, rpctypes.ErrGRPCUserEmpty
	}
	name, ok := a.tokens[sent[0]]
	if !ok {
		return "", nil, rpctypes.ErrGRPCInvalidAuthToken
	}
	u := a.users[name]
	if u == nil {
		return "", nil, rpctypes.ErrGRPCPermissionDenied
	}
	return name, u, nil
}

type authServer struct {
	pb.UnimplementedAuthServer
	m *Member
}

// accounts waits for a leader, as a proposal does, and calls do with the users and roles.
func (as *authServer) accounts(ctx context.Context, do func(*accounts) error) (*pb.ResponseHeader, error) {
	if err := as.m.awaitLeader(ctx); err != nil {
		return nil, err
	}
	c := as.m.c
	rev := c.store.revision()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := do(&c.accounts); err != nil {
		return nil, err
	}
	return as.m.headerLocked(rev), nil
}

// Authenticate issues simple tokens, which every member accepts.
func (as *authServer) Authenticate(ctx context.Context, r *pb.AuthenticateRequest) (*pb.AuthenticateResponse, error) {
	var token string
	h, err := as.accounts(ctx, func(a *accounts) error {
		if !a.enabled {
			return rpctypes.ErrGRPCAuthNotEnabled
		}
		switch u := a.users[r.Name]; {
		case u != nil && u.noPassword: // package rpctypes does not have this error
			return status.Error(codes.Unknown, "auth: authentication failed, password was given for no password user")
		case u == nil, u.hashed, u.password != r.Password:
			return rpctypes.ErrGRPCAuthFailed
		}
		a.tokenCount++
		token = fmt.Sprintf("simple-token.%d", a.tokenCount)
		a.tokens[token] = r.Name
		return nil
	})
	return &pb.AuthenticateResponse{Header: h, Token: token}, err
}

func (as *authServer) AuthEnable(ctx context.Context, _ *pb.AuthEnableRequest) (*pb.AuthEnableResponse, error) {
	h, err := as.accounts(ctx, func(a *accounts) error {
		switch u := a.users[root]; {
		case a.enabled:
			return nil
		case u == nil:
			return rpctypes.ErrGRPCRootUserNotExist
		case !slices.Contains(u.roles, root):
			return rpctypes.ErrGRPCRootRoleNotExist
		}
		a.enabled = true
		return nil
	})
	return &pb.AuthEnableResponse{Header: h}, err
}

func (as *authServer) AuthDisable(ctx context.Context, _ *pb.AuthDisableRequest) (*pb.AuthDisableResponse, error) {
	h, err := as.accounts(ctx, func(a *accounts) error { a.disable(); return nil })
	return &pb.AuthDisableResponse{Header: h}, err
}

func (as *authServer) AuthStatus(ctx context.Context, _ *pb.AuthStatusRequest) (*pb.AuthStatusResponse, error) {
	resp := &pb.AuthStatusResponse{}
	h, err := as.accounts(ctx, func(a *accounts) error {
		resp.Enabled = a.enabled
		resp.AuthRevision = a.revision
		return nil
	})
	resp.Header = h
	return resp, err
}

// forget ends a user's tokens.
func (a *accounts) forget(name string) {
	maps.DeleteFunc(a.tokens, func(_, user string) bool { return user == name })
}
