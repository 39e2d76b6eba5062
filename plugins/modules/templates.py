# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: templates
short_description: Bring many rendered files to a host in one round trip, all of them or none
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Renders a list of files on the control node as M(ansible.builtin.template) does, and brings them to the host in one
    round trip.
  - All or nothing. Every file is written beside its place and validated before the first one is replaced, and each is
    replaced by a rename. If a command of O(validate_bundle) refuses the whole, every file is put back as it was.
  - A run that is killed at any point is finished by the next one. Before the first file is replaced, a journal in
    C(/var/lib/chainops/templates) says what is to be done. The next task that names one of these paths takes an
    unfinished replacement back and begins anew, and runs O(on_change) if that is still due, even if no file changes.
  - Owner, group and mode are always set, so that a file is the same whatever was there before.
  - In check mode nothing is written beside the files. Validators are run on copies that are private to root. What is
    not on the host yet (an owner, a directory, a validator) is a warning then, not an error.
options:
  files:
    description:
      - Files to bring to the host. Exactly one of O(files[].src), O(files[].content) and O(files[].copy) says what is
        in each.
    type: list
    elements: dict
    default: []
    suboptions:
      src:
        description:
          - Template, found where M(ansible.builtin.template) finds it. That is C(templates/) of the role, or beside the
            playbook.
          - A first line C(#jinja2:lstrip_blocks:True) changes how it is read.
        type: str
      content:
        description:
          - The content itself. A dictionary or a list is written as JSON.
          - A number is written without a line's end, as ansible makes a number of V("{{ 5 }}\\n"). Of
            V("{{ 5 | string }}\\n") it makes a line.
        type: raw
      copy:
        description:
          - File of the control node that is copied as it is, found in C(files/) of the role or beside the playbook.
        type: str
      dest:
        description:
          - Absolute path on the host.
        type: str
        required: true
      owner:
        description:
          - User name or number. Without it, the user that the task runs as on the host.
        type: str
      group:
        description:
          - Group name or number. Without it, the group of the user that the task runs as on the host.
        type: str
      mode:
        description:
          - Octal digits as a string. Without it, V("0644"), or V("0600") for a secret file.
        type: raw
      validate:
        description:
          - Command that ends with status 0 if the file is good. C(%s) stands for the new file, which has its final
            name there, in a directory of its own. No shell is involved.
          - It runs only if the content changes.
        type: str
      backup:
        description:
          - Keep the file that is replaced beside the new one, under a name with the time.
        type: bool
        default: false
      secret:
        description:
          - The content is not shown in differences, results, logs or the output of commands.
          - Needs pipelining on the connection, as its content would be written to a temporary file otherwise.
        type: bool
        default: false
      symlink:
        description:
          - What a symbolic link at O(files[].dest) means. V(refuse) is an error that names its target (a masked unit is
            such a link), V(follow) writes to the target, V(replace) puts the file in its place.
        type: str
        choices: [refuse, follow, replace]
        default: refuse
      vars:
        description:
          - Variables for this template only, for one template that makes several files.
        type: dict
        default: {}
  directories:
    description:
      - Directories that hold the files, made in this order. The directory above must exist. A minimal Debian lacks
        C(/etc/sysusers.d) and C(/etc/tmpfiles.d), for example.
      - What a service needs belongs in tmpfiles.d or its unit; this is for plain directories of configuration.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description:
          - Absolute path on the host.
        type: str
        required: true
      owner:
        description:
          - As for files.
        type: str
      group:
        description:
          - As for files.
        type: str
      mode:
        description:
          - Octal digits as a string. Without it, V("0755").
        type: raw
  trees:
    description:
      - Directories of the control node that are copied as they are, such as a Python package.
    type: list
    elements: dict
    default: []
    suboptions:
      src:
        description:
          - Directory of the control node, absolute or found in C(files/) of the role.
        type: str
        required: true
      dest:
        description:
          - Absolute path of the directory on the host. It is made if its parent exists.
        type: str
        required: true
      owner:
        description:
          - As for files.
        type: str
      group:
        description:
          - As for files.
        type: str
      mode:
        description:
          - Mode of the files, V("0644") without it. Directories get the execute bit where files get the read bit.
        type: raw
      patterns:
        description:
          - Names of the files that are meant, with C(*) and C(?).
        type: list
        elements: str
        default: ["*.py"]
      purge:
        description:
          - Remove files below O(trees[].dest) that match O(trees[].patterns) and are not in O(trees[].src).
        type: bool
        default: true
  absent:
    description:
      - Paths to remove. A directory is removed with all that is in it.
    type: list
    elements: str
    default: []
  validate_bundle:
    description:
      - Commands, each a list of words, that are run when all files are in place. If one fails, everything is put back.
      - For files that refer to each other, which O(files[].validate) cannot see together.
    type: list
    elements: list
    default: []
  on_change:
    description:
      - Commands, each a list of words, that are run in this order once all files are in place, if anything changed.
      - If one fails the task fails, the files stay, and the next run begins with these commands again.
    type: list
    elements: list
    default: []
attributes:
  check_mode:
    support: full
    description: Says what would change, with validators run on copies.
  diff_mode:
    support: full
    description: Shows the content and the attributes of each file; of a secret file, only that it changes.
  async:
    support: none
    description: It takes a second.
  platform:
    support: full
    platforms: posix
    description: Needs Python on the host, no library.
extends_documentation_fragment: []
notes:
  - Where nothing differs and no interrupted run has left anything, one shell command on the host tells so and no module
    is started. Bundles with O(trees[].purge) always start it.
  - One run at a time is made on a host; another waits for it.
  - A file is replaced, not rewritten. Hard links to it, access control lists and extended attributes are not kept.
seealso:
  - module: ansible.builtin.template
  - module: chainops.infra.unit
    description: Starts or restarts what the files describe.
"""

EXAMPLES = r"""
- name: Make the user and the directories of geth
  chainops.infra.templates:
    files:
      - {src: sysusers.conf.j2, dest: /etc/sysusers.d/geth.conf, mode: "0644"}
      - {src: tmpfiles.conf.j2, dest: /etc/tmpfiles.d/geth.conf, mode: "0644"}
    on_change:
      - [systemd-sysusers]
      - [systemd-tmpfiles, --create]

- name: Configure HAProxy, whose files refer to each other
  chainops.infra.templates:
    files:
      - {src: haproxy.cfg.j2, dest: /etc/haproxy/haproxy.cfg, group: haproxy, mode: "0640"}
      - {content: "{{ methods | join('\n') }}\n", dest: /etc/haproxy/methods.lst}
      - {src: users.cfg.j2, dest: /etc/haproxy/users.cfg, secret: true}
    absent: [/etc/haproxy/old.cfg]
    validate_bundle:
      - [haproxy, -c, -f, /etc/haproxy/haproxy.cfg, -f, /etc/haproxy/users.cfg]

- name: Let an operator use sudo
  chainops.infra.templates:
    files:
      - {content: "ops ALL=(ALL) NOPASSWD: ALL\n", dest: /etc/sudoers.d/ops, mode: "0440", validate: visudo -cf %s}
"""

RETURN = r"""
changed_files:
  description: Files whose content or attributes changed, and paths removed.
  returned: success
  type: list
  elements: str
  sample: [/etc/haproxy/haproxy.cfg]
changed_directories:
  description: Directories made, or whose attributes changed.
  returned: success
  type: list
  elements: str
completed:
  description: An earlier run had been killed before it was through, and this one finished its work.
  returned: success
  type: bool
commands:
  description: Commands of O(on_change) that ran, or would run in check mode.
  returned: success
  type: list
  elements: list
backup_files:
  description: Backup of each file that was replaced with O(files[].backup), by path.
  returned: success
  type: dict
missing:
  description: In check mode, what earlier tasks would have to bring first; also shown as warnings.
  returned: in check mode
  type: list
  elements: str
"""
