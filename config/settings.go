package config

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"
)

// source are the values of one source, by the keys of their options.
type source map[string]value

// apply stores what a source sets.
func (s *settings) apply(values source) {
	for _, o := range slices.Concat(options, clientv3s) {
		v, ok := values[o.key]
		if !ok || o.at == nil {
			continue
		}
		for _, other := range o.not {
			if too, both := values[other]; both {
				if o.key < other { // once for the two
					s.errs = append(s.errs, v.at.errorf("%s is set, too: leave out one", too.at.text))
				}
			} else if s.given(other) {
				s.reset(other)
			}
		}
		if err := v.set(o.at(s)); err != nil {
			s.errs = append(s.errs, v.at.errorf("%w", err))
			continue
		}
		s.from[o.key] = v.at
	}
}

// reset undoes what an earlier source has set.
func (s *settings) reset(key string) {
	o, _ := byKey(key)
	reflect.ValueOf(o.at(s)).Elem().SetZero()
	delete(s.from, key)
}

// leastKeepAliveTime is gRPC's. clientv3's users write less, and get this.
const leastKeepAliveTime = 10 * time.Second

// finish makes of the settings what they mean together.
func (s *settings) finish() {
	if s.DialKeepAliveTime > 0 {
		s.DialKeepAliveTime = max(s.DialKeepAliveTime, leastKeepAliveTime)
	}
	secure := s.secure()
	if s.serverName != "" || s.skipVerify || s.given("insecure-transport") && !s.plain {
		s.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.serverName, InsecureSkipVerify: s.skipVerify} //nolint:gosec // as configured
	}
	at, secret := s.from["endpoints"], s.secret().text
	for _, e := range s.Endpoints {
		switch {
		case s.plain && strings.HasPrefix(strings.ToLower(e), "https://"):
			s.errs = append(s.errs, s.from["insecure-transport"].errorf("it is true, and %s has %q, which uses TLS: leave out one", at.text, e))
		case at.file && secret != "" && !secure && !s.given("insecure-transport") && !strings.Contains(e, ":/"):
			s.errs = append(s.errs, at.errorf("%q does not say whether it uses TLS, and %s would go without it: write https://%s, http://%s or insecure-transport", e, secret, e, e))
		}
	}
	s.finishFiles()
}

func (s *settings) given(key string) bool {
	_, ok := s.from[key]
	return ok
}

// secure reports whether a setting makes all connections use TLS, and complains of one that
// does not want that.
func (s *settings) secure() bool {
	secure := s.given("insecure-transport") && !s.plain
	for _, key := range []string{"cert-file", "key-file", "trusted-ca-file", "server-name", "insecure-skip-tls-verify"} {
		o, _ := byKey(key)
		if at, ok := s.from[key]; ok && !reflect.ValueOf(o.at(s)).Elem().IsZero() {
			if secure = true; s.plain {
				s.errs = append(s.errs, s.from["insecure-transport"].errorf("it is true, and %s is for TLS: leave out one", at.text))
			}
		}
	}
	return secure
}

// secret is where a password or a token is set.
func (s *settings) secret() place {
	for _, key := range []string{"password", "password-file", "token", "token-file"} {
		if at, ok := s.from[key]; ok {
			return at
		}
	}
	return place{}
}

// finishFiles makes functions of the files with secrets.
func (s *settings) finishFiles() {
	if file := s.passwordFile; file != "" {
		user := s.Username
		if user == "" {
			s.errs = append(s.errs, s.from["password-file"].errorf("there is no username for it"))
		}
		s.Username = "" // Credentials has it
		s.Credentials = func(context.Context) (string, string, error) {
			password, err := readSecret(file)
			return user, password, err
		}
	}
	if file := s.tokenFile; file != "" {
		s.TokenSource = func(context.Context) (string, error) { return readSecret(file) }
	}
}

// readSecret reads a file that has a secret alone. Its last line break is not part of it.
func readSecret(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if secret == "" {
		return "", fmt.Errorf("%s is empty", file)
	}
	return secret, nil
}
