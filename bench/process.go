package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ticksPerSecond is USER_HZ, which is 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// A process is a counterfoil under load.
type process struct {
	cmd  *exec.Cmd
	out  bytes.Buffer
	done chan error
}

func startProcess(argv ...string) (*process, error) {
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), done: make(chan error, 1)}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.done <- p.cmd.Wait() }()
	return p, nil
}

func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		p.cmd.Process.Kill()
		<-p.done
	}
}

// cpu is the CPU time the process has used.
func (p *process) cpu() time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	var user, system int
	fmt.Sscan(fields[11], &user)
	fmt.Sscan(fields[12], &system)
	return time.Duration(user+system) * time.Second / ticksPerSecond
}

// resident is the process's resident memory, now and at its peak.
func (p *process) resident() string {
	status := fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid)
	var now, peak int
	fmt.Sscan(procLine(status, "VmRSS"), &now)
	fmt.Sscan(procLine(status, "VmHWM"), &peak)
	return fmt.Sprintf("%.0f MiB (peak %.0f)", float64(now)/1024, float64(peak)/1024)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func waitReady(p *process, client *http.Client, url string) error {
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		select {
		case err := <-p.done:
			return fmt.Errorf("ended: %v: %s", err, p.out.String())
		default:
		}
		if res, err := client.Get(url); err == nil {
			res.Body.Close()
			if res.StatusCode/100 == 2 {
				return nil
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("not ready: " + p.out.String())
}

// An issuer is a running `counterfoil serve` with one user.
type issuer struct {
	*process
	url, data string
	client    *http.Client
	binary    string
}

const benchConfig = `
serve:
  argon2:
    memory: 8192
    time: 1
    threads: 1
`

const password = "correct horse battery staple"

func startIssuer(s settings, name string, args ...string) (*issuer, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(s.dir, name+".yaml")
	if err := os.WriteFile(config, []byte(benchConfig), 0o600); err != nil {
		return nil, err
	}
	iss := &issuer{
		url: fmt.Sprintf("http://127.0.0.1:%d", port), data: filepath.Join(s.dir, name), binary: s.binary,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}},
	}
	argv := []string{s.binary, "serve", "--data", iss.data, "--listen", fmt.Sprintf("127.0.0.1:%d", port),
		"--issuer", iss.url, "--config", config, "--log-level", "error"}
	if iss.process, err = startProcess(append(argv, args...)...); err != nil {
		return nil, err
	}
	if err := waitReady(iss.process, iss.client, iss.url+"/readyz"); err != nil {
		return nil, err
	}
	add := exec.Command(s.binary, "user", "add", "alice", "--password-stdin", "--data", iss.data)
	add.Stdin = strings.NewReader(password + "\n")
	if out, err := add.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("user add: %w: %s", err, out)
	}
	return iss, nil
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func (iss *issuer) post(path, kind string, body io.Reader) (tokens, error) {
	var got tokens
	res, err := iss.client.Post(iss.url+path, kind, body)
	if err != nil {
		return got, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return got, err
	}
	if res.StatusCode != http.StatusOK {
		return got, fmt.Errorf("%s: status %d: %s", path, res.StatusCode, text)
	}
	if len(text) > 0 {
		err = json.Unmarshal(text, &got)
	}
	return got, err
}

func (iss *issuer) signIn() (tokens, error) {
	return iss.post("/sign-in", "application/json", strings.NewReader(`{"username":"alice","password":"`+password+`"}`))
}

func (iss *issuer) refresh(token string) (tokens, error) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	return iss.post("/token", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
}

func (iss *issuer) revoke(token string) error {
	_, err := iss.post("/revoke", "application/x-www-form-urlencoded", strings.NewReader(url.Values{"token": {token}}.Encode()))
	return err
}
