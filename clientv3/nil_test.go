package clientv3_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/etcdtest"
)

// Every method of a Client that takes a context reports a nil one, by its error
// or, if it returns a channel, by that.
func TestNilContexts(t *testing.T) {
	cluster := etcdtest.NewCluster(1)
	defer cluster.Close()
	c, err := clientv3.New(clientv3.Config{
		Endpoints: cluster.Addrs(), DialOptions: []grpc.DialOption{grpc.WithContextDialer(cluster.Dialer())},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	client := reflect.ValueOf(c)
	called := 0
	for i := range client.NumMethod() {
		m, name := client.Method(i), client.Type().Method(i).Name
		if m.Type().NumIn() == 0 || m.Type().In(0) != reflect.TypeFor[context.Context]() {
			continue
		}
		called++
		args := []reflect.Value{reflect.Zero(m.Type().In(0))}
		for j := 1; j < m.Type().NumIn(); j++ {
			if m.Type().IsVariadic() && j == m.Type().NumIn()-1 {
				break
			}
			arg := reflect.New(m.Type().In(j)).Elem()
			switch { // the right answer, as far as it can be checked
			case arg.Kind() == reflect.String:
				arg.SetString("x")
			case arg.CanInt():
				arg.SetInt(1)
			case arg.Type() == reflect.TypeFor[clientv3.Op]():
				arg.Set(reflect.ValueOf(clientv3.OpGet("x")))
			case arg.Type() == reflect.TypeFor[[]string]():
				arg.Set(reflect.ValueOf([]string{"http://127.0.0.1:2380"}))
			}
			args = append(args, arg)
		}
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("it panics: %v", p)
				}
			}()
			out := m.Call(args)
			var err any
			switch last := out[len(out)-1]; {
			case name == "Txn":
				_, err = last.Interface().(clientv3.Txn).Commit()
			case last.Kind() == reflect.Chan:
				answer, ok := last.Recv()
				if w, isWatch := reflect.TypeAssert[clientv3.WatchResponse](answer); ok && isWatch {
					err = w.Err()
				}
			default:
				err = last.Interface()
			}
			if err == nil || !strings.Contains(fmt.Sprint(err), "nil") {
				t.Errorf("got %v, want an error that names the nil context", err)
			}
		})
	}
	if called < 40 {
		t.Errorf("%d methods were called, want all", called)
	}
	// Stubs on the client's connection, and services on other stubs.
	var none context.Context
	for name, call := range map[string]func() error{
		"RetryKVClient": func() error {
			_, err := clientv3.RetryKVClient(c).Put(none, &pb.PutRequest{Key: []byte("x")})
			return err
		},
		"RetryLeaseClient": func() error { _, err := clientv3.RetryLeaseClient(c).LeaseKeepAlive(none); return err },
		"ActiveConnection": func() error { _, err := pb.NewKVClient(c.ActiveConnection()).Put(none, &pb.PutRequest{}); return err },
		"NewKVFromKVClient": func() error {
			_, err := clientv3.NewKVFromKVClient(clientv3.RetryKVClient(c), nil).Put(none, "x", "y")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("it panics: %v", p)
				}
			}()
			if err := call(); err == nil || !strings.Contains(err.Error(), "nil") {
				t.Errorf("got %v, want an error that names the nil context", err)
			}
		})
	}
}

// A client without a logger has one that discards everything, so that what it logs with
// is never nil.
func TestNoLogger(t *testing.T) {
	for name, cli := range map[string]*clientv3.Client{
		"none":       clientv3.NewCtxClient(t.Context(), clientv3.WithZapLogger(nil)),
		"set to nil": clientv3.NewCtxClient(t.Context()).WithLogger(nil),
		"zero":       {},
	} {
		if cli.GetLogger() == nil {
			t.Errorf("%s: there is no logger", name)
		}
	}
}
