package serve

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// A keyPair is a certificate in two files that an operator may replace at any time.
type keyPair struct {
	certFile, keyFile string
	log               *slog.Logger
	loaded            atomic.Pointer[loadedPair]
}

type loadedPair struct {
	cert  *tls.Certificate
	stamp pairStamp
}

// A pairStamp tells one state of the two files from another.
type pairStamp struct {
	certTime, keyTime time.Time
	certSize, keySize int64
}

// certificate serves tls.Config.GetCertificate. New files that do not fit
// together, as half-way through a replacement, leave the old pair in use.
func (p *keyPair) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	old := p.loaded.Load()
	stamp, err := p.stamp()
	if err != nil || stamp == old.stamp {
		return old.cert, nil
	}
	if err := p.load(); err != nil {
		p.log.Warn("keeping the old certificate", "err", err)
		p.loaded.Store(&loadedPair{old.cert, stamp}) // said once for each state of the files
	}
	return p.loaded.Load().cert, nil
}

func (p *keyPair) load() error {
	stamp, err := p.stamp()
	if err != nil {
		return err
	}
	cert, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	if err != nil {
		return fmt.Errorf("reading the certificate %s with key %s: %w", p.certFile, p.keyFile, err)
	}
	p.loaded.Store(&loadedPair{&cert, stamp})
	return nil
}

func (p *keyPair) stamp() (pairStamp, error) {
	cert, err := os.Stat(p.certFile)
	if err != nil {
		return pairStamp{}, err
	}
	key, err := os.Stat(p.keyFile)
	if err != nil {
		return pairStamp{}, err
	}
	return pairStamp{cert.ModTime(), key.ModTime(), cert.Size(), key.Size()}, nil
}
