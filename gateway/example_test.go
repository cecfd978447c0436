package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/getcd/getcd/gateway"
	"github.com/getcd/getcd/kv"
)

// gatewayOfEtcd stands for a member's JSON gateway: it has the key "greeting".
func gatewayOfEtcd() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v3/kv/range" {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"header": map[string]string{"revision": "2"},
			"kvs":    []map[string][]byte{{"key": []byte("greeting"), "value": []byte("hello")}},
		})
	}))
}

func ExampleNew() {
	server := gatewayOfEtcd()
	defer server.Close()
	conn, err := gateway.New([]string{server.URL}, gateway.Options{}) // such as https://etcd.example.com:2379
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	resp, err := kv.New(conn).Get(context.Background(), "greeting")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s, at revision %d\n", resp.Kvs[0].Value, resp.Header.Revision)
	// Output: hello, at revision 2
}
