package getcdotel

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Option is an option of New.
type Option func(*config)

type config struct {
	name       string
	tracers    trace.TracerProvider
	meters     metric.MeterProvider
	propagator propagation.TextMapPropagator
	errs       []error
}

// WithTracerProvider makes spans with tp. Without it, they are made with the global provider.
func WithTracerProvider(tp trace.TracerProvider) Option {
	return func(c *config) {
		if tp == nil {
			c.fail("WithTracerProvider: the provider is nil; leave the option out for the global one")
			return
		}
		c.tracers = tp
	}
}

// WithMeterProvider makes instruments with mp. Without it, they are made with the global
// provider.
func WithMeterProvider(mp metric.MeterProvider) Option {
	return func(c *config) {
		if mp == nil {
			c.fail("WithMeterProvider: the provider is nil; leave the option out for the global one")
			return
		}
		c.meters = mp
	}
}

// WithPropagators sends the context of each attempt with p. Without it, that is done with the
// global propagator, which sends nothing unless the program has set one.
func WithPropagators(p propagation.TextMapPropagator) Option {
	return func(c *config) {
		if p == nil {
			c.fail("WithPropagators: the propagator is nil; leave the option out for the global one")
			return
		}
		c.propagator = p
	}
}

// WithName adds the attribute getcd.client.name to all metrics and spans, for programs with
// several clients. Without it there is no such attribute.
func WithName(name string) Option { return func(c *config) { c.name = name } }

func (c *config) fail(text string) { c.errs = append(c.errs, errors.New("getcdotel: "+text)) }

func newConfig(opts []Option) (config, error) {
	c := config{tracers: otel.GetTracerProvider(), meters: otel.GetMeterProvider(), propagator: otel.GetTextMapPropagator()}
	for i, o := range opts {
		if o == nil {
			c.fail(fmt.Sprintf("New: option %d is nil; leave it out", i+1))
			continue
		}
		o(&c)
	}
	return c, errors.Join(c.errs...)
}
