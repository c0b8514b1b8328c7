//! Examples for every verb: at the end of its help, and in its manual page. A test reads each as a command line.

use crate::called_as::Program;

/// The examples of a verb, or of the whole program; none for groups of verbs.
pub(crate) fn of(path: &[String]) -> &'static [&'static str] {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        [] => &[
            "calicoctl get ippools -o wide",
            "calicoctl apply -f policy.yaml",
            "calicoctl explain --from shop/client --to shop/web --port 8080/TCP",
            "calicoctl help get",
        ],
        ["create"] => &[
            "calicoctl create -f policy.yaml",
            "calicoctl create -f policies/ -R --skip-exists",
            "generate-policies | calicoctl create -f -",
        ],
        ["apply"] => &[
            "calicoctl apply -f policy.yaml",
            "calicoctl apply -f policies/ -R -n shop",
        ],
        ["replace"] => &[
            "calicoctl replace -f policy.yaml",
            "calicoctl replace -f policies/ -R -n shop",
        ],
        ["delete"] => &[
            "calicoctl delete networkpolicy web -n shop",
            "calicoctl delete -f policy.yaml --skip-not-exists",
        ],
        ["get"] => &[
            "calicoctl get networkpolicies -A",
            "calicoctl get ippool main -o yaml",
            "calicoctl get workloadendpoints -n shop -o custom-columns=NAME,NETWORKS",
            "calicoctl get nodes -o go-template='{{range .}}{{range .Items}}{{.ObjectMeta.Name}} {{end}}{{end}}'",
        ],
        ["patch"] => &[
            "calicoctl patch felixconfiguration default -p '{\"spec\": {\"logSeverityScreen\": \"Debug\"}}'",
            "calicoctl patch ippool main -t json -p '[{\"op\": \"replace\", \"path\": \"/spec/disabled\", \"value\": true}]'",
        ],
        ["label"] => &[
            "calicoctl label nodes host1 rack=a zone=west",
            "calicoctl label nodes host1 rack=b --overwrite",
            "calicoctl label workloadendpoints host1-k8s-web-eth0 -n shop role --remove",
        ],
        ["validate"] => &[
            "calicoctl validate -f policy.yaml",
            "calicoctl validate -f policies/ -R",
        ],
        ["explain"] => &[
            "calicoctl explain --from shop/client --to shop/web --port 8080/TCP",
            "calicoctl explain --from 192.0.2.10 --to shop/web --icmp 8 -o json",
            "calicoctl explain --from shop/client --to shop/web --port 80/TCP --world manifests/",
        ],
        ["completion"] => &[
            "calicoctl completion bash > /etc/bash_completion.d/calicoctl",
            "calicoctl completion zsh > ~/.zfunc/_calicoctl",
            "calicoctl completion fish > ~/.config/fish/completions/calicoctl.fish",
        ],
        ["man"] => &[
            "calicoctl man /usr/local/share/man/man1",
            "calicoctl man . && man ./calicoctl-get.1",
        ],
        ["version"] => &[
            "calicoctl version",
            "calicoctl version --client",
            "calicoctl version --poll 5s",
        ],
        ["ipam", verb] => ipam(verb),
        ["node", verb] => node(verb),
        ["cluster", "diags"] => &[
            "calicoctl cluster diags --since 2h",
            "calicoctl cluster diags --focus-nodes host1,host2 --max-logs 2",
        ],
        ["datastore", rest @ ..] => datastore(rest),
        _ => &[],
    }
}

fn ipam(verb: &str) -> &'static [&'static str] {
    match verb {
        "check" => &[
            "calicoctl ipam check",
            "calicoctl ipam check --show-problem-ips -o report.json",
        ],
        "release" => &[
            "calicoctl ipam release --ip 10.244.0.7",
            "calicoctl ipam release --from-report report.json",
        ],
        "show" => &[
            "calicoctl ipam show",
            "calicoctl ipam show --show-blocks",
            "calicoctl ipam show --ip 10.244.0.7",
        ],
        "configure" => &[
            "calicoctl ipam configure --strictaffinity true",
            "calicoctl ipam configure --max-blocks-per-host 20",
        ],
        "split" => &[
            "calicoctl ipam split --name main 4",
            "calicoctl ipam split --cidr 10.244.0.0/16 2",
        ],
        _ => &[],
    }
}

fn node(verb: &str) -> &'static [&'static str] {
    match verb {
        "status" => &["calicoctl node status", "calicoctl node status -l debug"],
        "diags" => &[
            "calicoctl node diags",
            "calicoctl node diags --log-dir /var/log/calico",
        ],
        "checksystem" => &[
            "calicoctl node checksystem",
            "calicoctl node checksystem -f /boot/config-6.8",
        ],
        "run" => &[
            "calicoctl node run --dryrun",
            "calicoctl node run --name host1 --ip 192.0.2.1",
        ],
        _ => &[],
    }
}

fn datastore(path: &[&str]) -> &'static [&'static str] {
    match path {
        ["backup"] => &[
            "calicoctl datastore backup /var/backups/calico.db",
            "calicoctl datastore backup today.db --datastore embedded",
        ],
        ["migrate-policy-names"] => &[
            "calicoctl datastore migrate-policy-names",
            "calicoctl datastore migrate-policy-names --datastore etcdv3",
        ],
        ["migrate", "lock"] => &[
            "calicoctl datastore migrate lock",
            "calicoctl datastore migrate lock --datastore etcdv3",
        ],
        ["migrate", "unlock"] => &[
            "calicoctl datastore migrate unlock",
            "calicoctl datastore migrate unlock --datastore kubernetes",
        ],
        ["migrate", "export"] => &[
            "calicoctl datastore migrate export > objects.yaml",
            "calicoctl datastore migrate export --to kubernetes --datastore etcdv3 > objects.yaml",
        ],
        ["migrate", "import"] => &[
            "calicoctl datastore migrate import -f objects.yaml",
            "calicoctl datastore migrate import -f objects.yaml --datastore kubernetes",
        ],
        _ => &[],
    }
}

/// An example as this program shows it, in from the margin.
pub(crate) fn shown(line: &str, program: Program) -> String {
    format!(
        "  {}",
        line.replace("calicoctl ", &format!("{} ", program.typed()))
    )
}

/// The words of the command in an example, its quotes taken away, without what the shell does before and after it.
#[cfg(test)]
pub(crate) fn words(line: &str) -> Vec<String> {
    let start = line.find("calicoctl ").unwrap_or(0);
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line[start..].chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            '>' | '&' | '|' | '#' if !quoted && word.is_empty() => break,
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}
