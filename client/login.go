package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// newAuthenticator returns the source of tokens that cfg asks for.
func (c *Conn) newAuthenticator(cfg Config) *authenticator {
	switch {
	case cfg.Credentials != nil:
		return newAuthenticator(c.login(cfg.credentials, cfg.DialTimeout), true, cfg.Logger)
	case cfg.TokenSource != nil:
		return newAuthenticator(bounded(cfg.token, cfg.DialTimeout), true, cfg.Logger)
	case cfg.Username != "":
		fixed := func(context.Context) (string, string, error) { return cfg.Username, cfg.Password, nil }
		return newAuthenticator(c.login(fixed, cfg.DialTimeout), false, cfg.Logger)
	default:
		return fixedToken(cfg.Token)
	}
}

// credentials asks Config.Credentials.
func (c Config) credentials(ctx context.Context) (user, password string, err error) {
	user, password, err = c.Credentials(ctx)
	switch {
	case err != nil:
		return "", "", fmt.Errorf("client: Config.Credentials: %w", err)
	case user == "":
		return "", "", errors.New("client: Config.Credentials returned no user")
	case password == "":
		return "", "", fmt.Errorf("client: Config.Credentials returned no password for the user %q: etcd refuses empty ones", user)
	}
	return user, password, nil
}

// token asks Config.TokenSource.
func (c Config) token(ctx context.Context) (string, error) {
	token, err := c.TokenSource(ctx)
	switch {
	case err != nil:
		return "", fmt.Errorf("client: Config.TokenSource: %w", err)
	case token == "":
		return "", errors.New("client: Config.TokenSource returned no token")
	}
	if i := unprintable(token); i >= 0 {
		return "", fmt.Errorf("client: Config.TokenSource returned a token with an unprintable character at index %d, a line break perhaps: it can't be sent", i)
	}
	return token, nil
}

// unprintable is the index of the first character that a header can't carry, or -1.
func unprintable(token string) int {
	return strings.IndexFunc(token, func(r rune) bool { return r < ' ' || r > '~' })
}

// login returns the function by which the authenticator gets its tokens. The credentials are
// asked for each time, and once more when they were refused: they may have changed between
// the question and the login. The same ones are not sent twice.
func (c *Conn) login(credentials func(context.Context) (user, password string, err error), timeout time.Duration) func(context.Context) (string, error) {
	type pair struct{ user, password string }
	return bounded(func(ctx context.Context) (string, error) {
		var last pair
		var refusal error
		for {
			user, password, err := credentials(ctx)
			switch {
			case err != nil && refusal == nil:
				return "", err
			case err != nil || last == pair{user, password}:
				return "", refusal
			}
			last = pair{user, password}
			c.counters.logins.Add(1)
			r, err := pb.NewAuthClient(c).Authenticate(ctx, &pb.AuthenticateRequest{Name: user, Password: password})
			if !errors.Is(err, rpctypes.ErrAuthFailed) || ctx.Err() != nil {
				return r.GetToken(), err
			}
			refusal = err
		}
	}, timeout)
}

// bounded gives each login its time.
func bounded(login func(context.Context) (string, error), timeout time.Duration) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return login(ctx)
	}
}
