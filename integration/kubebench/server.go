package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// server is a running kube-apiserver.
type server struct {
	url    string
	dir    string
	cmd    *exec.Cmd
	exited chan struct{}
	http   *http.Client
	ready  time.Duration // time from its start
}

const token = "kubebench"

// startServer starts the binary with the endpoints, and returns the server when
// it is ready.
func startServer(ctx context.Context, binary string, endpoints []string) (*server, error) {
	dir, err := os.MkdirTemp("", "kubebench-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, exited: make(chan struct{})}
	if err := s.start(ctx, binary, endpoints); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (s *server) start(ctx context.Context, binary string, endpoints []string) error {
	key, err := serviceAccountKey()
	if err != nil {
		return err
	}
	files := map[string][]byte{"sa.key": key, "tokens.csv": []byte(token + ",kubebench,kubebench,system:masters\n")}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o600); err != nil {
			return err
		}
	}
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	output, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = output.Close() }() // the process has its own descriptor
	s.url = "https://127.0.0.1:" + strconv.Itoa(port)
	s.cmd = exec.CommandContext(ctx, binary,
		"--etcd-servers="+strings.Join(endpoints, ","),
		"--bind-address=127.0.0.1", "--secure-port="+strconv.Itoa(port), "--cert-dir="+s.dir,
		"--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.0.0.0/24",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+filepath.Join(s.dir, "sa.key"),
		"--service-account-signing-key-file="+filepath.Join(s.dir, "sa.key"),
		"--token-auth-file="+filepath.Join(s.dir, "tokens.csv"), "--authorization-mode=AlwaysAllow",
		"--disable-admission-plugins=ServiceAccount",
	)
	s.cmd.Stdout, s.cmd.Stderr = output, output
	dieWithParent(s.cmd)
	// The server makes its own certificate.
	s.http = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 100,
	}}
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = s.cmd.Wait() // it is killed
		close(s.exited)
	}()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for {
		_, err := s.call(ctx, http.MethodGet, "/readyz", nil)
		if err == nil {
			s.ready = time.Since(began)
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", binary, err, s.tail())
		case <-s.exited:
			return fmt.Errorf("%s has exited: %s", binary, s.tail())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// stop kills the server and removes its files.
func (s *server) stop() error {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill() // fails if it has already exited
		<-s.exited
	}
	return os.RemoveAll(s.dir)
}

// tail returns the end of the server's log.
func (s *server) tail() string {
	b, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(b[max(0, len(b)-2000):])
}

// call makes a request. A response other than success becomes an error with its
// text.
func (s *server) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	resp, err := s.open(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	return io.ReadAll(resp.Body)
}

func (s *server) open(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		_ = resp.Body.Close() // it is an error anyway
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	return resp, nil
}

func serviceAccountKey() ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), nil
}

func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
