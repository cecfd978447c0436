// Package batch sends concurrent calls together.
package batch
