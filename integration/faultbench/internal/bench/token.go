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

// The user of faults that need one: the only one that may do everything.
const (
	rootUser     = "root"
	rootPassword = "faultbench"
)

// enableAuth has all clients authenticate themselves, until the stage is closed,
// if they do not have to anyway.
func enableAuth(ctx context.Context, s *stage) error {
	if s.target.username != "" {
		return nil
	}
	// By the end the first member may be another than now.
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

// expireTokens makes all members forget all tokens, which they do when
// authentication is disabled. In the instant until it is enabled again calls with
// a forgotten token pass.
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

// control is the member's control connection, with authentication while clients
// need it.
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
// none.
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

// refused says that a new token may help.
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
		// An election, or a write before it that takes long, may lose it.
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
