package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/integration/cluster"
)

// The user for faults that need one. It is the only user, and may do everything.
const (
	rootUser     = "root"
	rootPassword = "faultbench"
)

// enableAuth makes all clients log in until the stage is closed, unless they have
// to anyway.
func enableAuth(ctx context.Context, s *stage) error {
	if s.target.username != "" {
		return nil
	}
	// At the end, the first member may be another one than now.
	control := func() pb.AuthClient { return pb.NewAuthClient(s.control(s.cluster.Members()[0])) }
	auth := control()
	if _, err := auth.UserAdd(ctx, &pb.AuthUserAddRequest{Name: rootUser, Password: rootPassword}); err != nil {
		return fmt.Errorf("adding a user: %w", err)
	}
	s.atEnd(func(ctx context.Context) error {
		_, err := control().UserDelete(ctx, &pb.AuthUserDeleteRequest{Name: rootUser})
		return err
	})
	if _, err := auth.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: rootUser, Role: rootUser}); err != nil {
		return fmt.Errorf("making the user the administrator: %w", err)
	}
	if _, err := auth.AuthEnable(ctx, &pb.AuthEnableRequest{}); err != nil {
		return fmt.Errorf("enabling authentication: %w", err)
	}
	s.target.username, s.target.password = rootUser, rootPassword
	s.atEnd(func(ctx context.Context) error {
		_, err := control().AuthDisable(ctx, &pb.AuthDisableRequest{})
		s.target.username, s.target.password = "", ""
		return err
	})
	return nil
}

// expireTokens makes all members forget all tokens, which happens when
// authentication is disabled. Until it is enabled again a moment later, calls
// with a forgotten token succeed.
func expireTokens(ctx context.Context, s *stage) error {
	auth := pb.NewAuthClient(s.control(s.cluster.Members()[0]))
	if _, err := auth.AuthDisable(ctx, &pb.AuthDisableRequest{}); err != nil {
		return fmt.Errorf("disabling authentication: %w", err)
	}
	if _, err := auth.AuthEnable(ctx, &pb.AuthEnableRequest{}); err != nil {
		return fmt.Errorf("enabling authentication: %w", err)
	}
	return nil
}

// control returns the member's control connection, with authentication while
// clients need it.
func (s *stage) control(m *cluster.Member) grpc.ClientConnInterface {
	if s.target.username == "" {
		return m.Control()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.controls == nil {
		s.controls = make(map[*cluster.Member]*authorized)
	}
	if s.controls[m] == nil {
		s.controls[m] = &authorized{ClientConnInterface: m.Control()}
	}
	return s.controls[m]
}

// authorized is a connection with root's token, which it renews. Its streams have
// no token.
type authorized struct {
	grpc.ClientConnInterface

	mu    sync.Mutex
	token string
}

// Invoke implements grpc.ClientConnInterface.
func (a *authorized) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	for try := 0; ; try++ {
		token, err := a.get(ctx)
		if err != nil {
			return err
		}
		with := metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, token)
		err = a.ClientConnInterface.Invoke(with, method, args, reply, opts...)
		if try > 0 || !refused(err) {
			return err
		}
		a.drop(token)
	}
}

// refused reports whether a new token may help.
func refused(err error) bool {
	err = rpctypes.Error(err)
	return errors.Is(err, rpctypes.ErrInvalidAuthToken) || errors.Is(err, rpctypes.ErrAuthOldRevision)
}

const loginPause = 50 * time.Millisecond

func (a *authorized) get(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token != "" {
		return a.token, nil
	}
	for {
		resp, err := pb.NewAuthClient(a.ClientConnInterface).Authenticate(ctx, &pb.AuthenticateRequest{Name: rootUser, Password: rootPassword})
		if err == nil {
			a.token = resp.Token
			return a.token, nil
		}
		// An election, or a slow write before it, may make it fail.
		if status.Code(err) != codes.Unavailable || sleep(ctx, loginPause) != nil {
			return "", fmt.Errorf("authenticating: %w", err)
		}
	}
}

func (a *authorized) drop(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token == token {
		a.token = ""
	}
}
