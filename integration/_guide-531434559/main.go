package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/kv"
)

func main() {
	c, err := client.New(client.Config{Endpoints: os.Args[1:]})
	if err != nil {
		log.Fatal(err) // the configuration is wrong; the error says what would be right
	}
	defer c.Close()
	if err := run(c); err != nil {
		log.Print(err)
	}
}

func run(c *client.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	if _, err := c.Put(ctx, "config/color", "blue"); err != nil {
		return err
	}
	resp, err := c.Get(ctx, "config/", kv.WithPrefix())
	if err != nil {
		return err
	}
	for _, pair := range resp.Kvs {
		fmt.Printf("%s = %s, changed at revision %d\n", pair.Key, pair.Value, pair.ModRevision)
	}
	_, err = c.Delete(ctx, "config/color")
	return err
}
