package manifest

import (
	"path/filepath"
	"strconv"

	"rejot.dev/rejot/contract"
)

// resolve gives a connection with its references replaced. What is wrong goes to c.
func (s statedConnection) resolve(c *checker, env func(string) (string, bool)) contract.Connection {
	conf := s.value.Config
	at := s.at.field("config")
	r := resolver{dir: filepath.Dir(s.in.file), env: env}
	get := func(p place, text string) (string, bool) {
		value, err := r.text(text)
		if err != nil {
			c.wrong(p, "connection %s: %s", s.value.Slug, err)
			c.mend("give the program what %s stands for", text)
		}
		return value, err == nil
	}
	out := contract.Connection{Slug: s.value.Slug, Type: conf.Type, Port: conf.Port.Number}
	out.User, _ = get(at.field("user"), conf.User)
	out.Database, _ = get(at.field("database"), conf.Database)
	host, ok := get(at.field("host"), conf.Host)
	if out.Host = host; ok && (!validHost(host) || host == "" && conf.Host != "") {
		c.wrong(at.field("host"), "connection %s: what %s stands for is no host", s.value.Slug, conf.Host)
	}
	if conf.Password != nil {
		password, _ := get(at.field("password"), *conf.Password)
		out.Password = contract.NewSecret(password)
	}
	if ref := conf.Port.Reference; ref != "" {
		text, ok := get(at.field("port"), ref)
		port, err := strconv.Atoi(text)
		if out.Port = port; ok && (err != nil || !validPort(port)) {
			c.wrong(at.field("port"), "connection %s: what %s stands for is no port (1 to 65535)", s.value.Slug, ref)
		}
	}
	if conf.TLS != nil {
		file, _ := get(at.field("tls", "caFile"), conf.TLS.CAFile)
		if file != "" && !filepath.IsAbs(file) {
			file = filepath.Join(r.dir, file)
		}
		out.TLS = contract.TLS{Mode: conf.TLS.Mode, CAFile: file}
	}
	return out
}
