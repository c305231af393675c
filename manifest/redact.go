package manifest

// Redacted gives a copy in which *** stands for every secret that is written in the manifest itself.
// References stay, since they tell nothing.
func (m *Manifest) Redacted() (*Manifest, error) {
	data, err := m.Encode()
	if err != nil {
		return nil, err
	}
	out, problems := parseForm(m.file, data)
	if err := out.errorOf(problems); err != nil {
		return nil, err
	}
	for i := range out.Connections {
		conf := &out.Connections[i].Config
		conf.Password = hidden(conf.Password)
		conf.URL = redacted(conf.URL)
		if conf.Roles == nil {
			continue
		}
		for _, r := range []*Role{conf.Roles.Capture, conf.Roles.Evaluate, conf.Roles.Store, conf.Roles.Apply} {
			if r != nil {
				r.Password = hidden(r.Password)
			}
		}
	}
	if out.Hub != nil {
		out.Hub.URL = redacted(out.Hub.URL)
		out.Hub.Token = *hidden(&out.Hub.Token)
	}
	return out, nil
}

func hidden(s *string) *string {
	if s == nil || *s == "" || IsReference(*s) {
		return s
	}
	stars := "***"
	return &stars
}
