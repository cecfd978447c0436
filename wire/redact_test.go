package wire_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"golang.org/x/net/http2"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/wire"
)

// No format shows the secrets of a login, as text or in hexadecimal, unless the
// options ask for it.
func TestSecretsAreHidden(t *testing.T) {
	for _, f := range wire.Formats() {
		for _, secrets := range []bool{false, true} {
			got := traced(t, 1, wire.Options{Format: f, Secrets: secrets}, func(cfg *client.Config) {
				cfg.Username, cfg.Password = "root", "hunter2"
			}, func(ctx context.Context, c *client.Client, cluster *etcdtest.Cluster) {
				cluster.EnableAuth(map[string]string{"root": "hunter2"})
				put(ctx, t, c, "foo", "bar")
			})
			got = strings.NewReplacer(" ", "", "\n", "").Replace(got)
			for _, secret := range []string{"hunter2", "simple-token"} {
				// A line has 16 bytes: look for the first ones.
				shown := strings.Contains(got, secret) || strings.Contains(got, hex.EncodeToString([]byte(secret[:6])))
				if shown != secrets {
					t.Errorf("%s, Secrets %t: %q is shown: %t", f, secrets, secret, shown)
				}
			}
			if !secrets && !strings.Contains(got, "hidden") && !strings.Contains(got, "**") {
				t.Errorf("%s: nothing says that something is hidden", f)
			}
		}
	}
}

func TestValuesOfAPrefixAreHidden(t *testing.T) {
	secret := []byte("topsecret")
	o := wire.Options{HideValues: []string{"secret/"}, Secrets: true}
	for _, tt := range []struct {
		what, name, bytes string
		hidden            bool
	}{
		{"a put", "etcdserverpb.PutRequest", encode(&pb.PutRequest{Key: []byte("secret/a"), Value: secret}), true},
		{"a put of another key", "etcdserverpb.PutRequest", encode(&pb.PutRequest{Key: []byte("public/a"), Value: secret}), false},
		{"a put with its value first", "etcdserverpb.PutRequest", encode(&pb.PutRequest{Value: secret}) + encode(&pb.PutRequest{Key: []byte("secret/a")}), true},
		{"a put of two keys", "etcdserverpb.PutRequest", encode(&pb.PutRequest{Key: []byte("secret/a"), Value: secret}) + encode(&pb.PutRequest{Key: []byte("a")}), true},
		{"a put without a key", "etcdserverpb.PutRequest", encode(&pb.PutRequest{Value: secret}), true},
		{"a put whose end is missing", "etcdserverpb.PutRequest", encode(&pb.PutRequest{Value: secret, Key: []byte("public/a")}) + "\x0a\x20", true},
		{"an answer", "etcdserverpb.RangeResponse", encode(&pb.RangeResponse{Kvs: []*mvccpb.KeyValue{{Key: []byte("secret/a"), Value: secret}}}), true},
		{"an event", "etcdserverpb.WatchResponse", encode(&pb.WatchResponse{Events: []*mvccpb.Event{{PrevKv: &mvccpb.KeyValue{Key: []byte("secret/a"), Value: secret}}}}), true},
		{"a comparison", "etcdserverpb.Compare", encode(&pb.Compare{Key: []byte("secret/a"), TargetUnion: &pb.Compare_Value{Value: secret}}), true},
		{"a candidate", "v3electionpb.CampaignRequest", encode(&v3electionpb.CampaignRequest{Name: []byte("secret"), Value: secret}), true},
		{"another candidate", "v3electionpb.CampaignRequest", encode(&v3electionpb.CampaignRequest{Name: []byte("public"), Value: secret}), false},
		{"a leader", "v3electionpb.ProclaimRequest", encode(&v3electionpb.ProclaimRequest{Leader: &v3electionpb.LeaderKey{Name: []byte("x"), Key: []byte("secret/x/1")}, Value: secret}), true},
		{"an unknown field", "etcdserverpb.PutRequest", "\xfa\x07\x09topsecret", true},
		{"a snapshot", "etcdserverpb.SnapshotResponse", encode(&pb.SnapshotResponse{Blob: secret}), true},
	} {
		for _, f := range bare {
			o.Format = f
			var out bytes.Buffer
			if err := wire.DecodeMessage(&out, o, tt.name, strings.NewReader(tt.bytes)); err != nil {
				t.Fatal(err)
			}
			got := strings.ReplaceAll(out.String(), " ", "")
			shown := strings.Contains(got, string(secret)) || strings.Contains(got, hex.EncodeToString(secret[:6]))
			if shown == tt.hidden {
				t.Errorf("%s, %s: the value is shown: %t\n%s", tt.what, f, shown, &out)
			}
		}
	}
}

// What proxies take for a secret is one, as far as the field's name tells.
func TestHeadersWithSecretsAreHidden(t *testing.T) {
	for name, hidden := range map[string]bool{
		"token": true, "authorization": true, "proxy-authorization": true, "cookie": true, "set-cookie": true, "x-api-key": true, "x-auth-request-jwt": true,
		":authority": false, "user-agent": false, "x-tenant": false,
	} {
		var in bytes.Buffer
		in.WriteString(http2.ClientPreface)
		writeHeaders(http2.NewFramer(&in, nil), false, ":path", putMethod, name, "hunter2")
		for _, f := range []wire.Format{wire.Frames, wire.JSON} {
			var out bytes.Buffer
			if err := wire.DecodeHTTP2(&out, wire.Options{Format: f}, bytes.NewReader(in.Bytes()), nil); err != nil {
				t.Fatal(err)
			}
			got := strings.ReplaceAll(out.String(), " ", "")
			if shown := strings.Contains(got, "hunter2") || strings.Contains(got, hex.EncodeToString([]byte("hunter2"))); shown == hidden || !strings.Contains(got, name) {
				t.Errorf("%s, %s: the value is shown: %t\n%s", name, f, shown, &out)
			}
		}
	}
}

func TestValuesAreHiddenInCommands(t *testing.T) {
	for _, f := range []wire.Format{wire.Curl, wire.Grpcurl} {
		got := traced(t, 1, wire.Options{Format: f, HideValues: []string{"secret/"}}, nil, func(ctx context.Context, c *client.Client, _ *etcdtest.Cluster) {
			put(ctx, t, c, "secret/a", "topsecret")
			put(ctx, t, c, "public", "open")
		})
		// "dG9wc2VjcmV0" is "topsecret" in base64, "KGhpZGRlbik=" is "(hidden)", "b3Blbg==" is "open".
		if strings.Contains(got, "dG9wc2VjcmV0") || !strings.Contains(got, "KGhpZGRlbik=") || !strings.Contains(got, "b3Blbg==") {
			t.Errorf("got\n%s", got)
		}
	}
}
