# SPDX-License-Identifier: GPL-2.0-or-later
# fish completion for vfioctl(1)

set -l verbs list status show tree check to-vm to-host reset assign unassign tune fit create templates try boot hook reconcile capture config setup undo

# --root and --connect are handed on, so that names are those of the same host.
function __vfioctl_given
    set -l words (commandline -opc)
    for i in (seq (count $words))
        switch $words[$i]
            case --root --connect
                set -q words[(math $i + 1)]; and echo $words[$i]; and echo $words[(math $i + 1)]
            case '--root=*' '--connect=*'
                echo $words[$i]
        end
    end
end

function __vfioctl_gpus
    for word in (command vfioctl (__vfioctl_given) -q list --noheadings -o GPU,ADDRESS 2>/dev/null | string split -n ' ')
        test "$word" = -; or echo $word
    end
end

function __vfioctl_vms
    set -l words (commandline -opc)
    set -l connect
    set -l at (contains -i -- --connect $words)
    and set -q words[(math $at + 1)]
    and set connect -c $words[(math $at + 1)]
    virsh -q $connect list --all --name 2>/dev/null | string match -v ''
end

complete -c vfioctl -f
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a list -d 'the GPUs as a table'
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a status -d 'whether all is well'
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a show -d 'everything known of one GPU'
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a tree -d 'the board with its cards and GPUs'
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a check -d 'what stands against handing a GPU out'
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a to-vm -d 'bind GPUs to vfio-pci'
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a to-host -d 'give GPUs back to their host drivers'
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a reset -d 'reset a GPU that nobody uses'
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a assign -d 'give each VM its own GPU'
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a unassign -d 'take GPUs out of VMs'
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a create -d 'make a VM with its own GPU'
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a templates -d 'what a VM can be made of'
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a tune -d 'bring a VM up to the standard of create'
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a fit -d 'how many VMs fit on this host'
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a try -d 'prove that a GPU comes back from a VM'
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a boot -d 'bind the GPUs that are for VMs, as at boot'
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a hook -d 'what libvirt calls at each start and stop'
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a reconcile -d 'mend what is not as it should be'
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a capture -d 'this host as an archive, for a bug report'
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a config -d 'the configuration, and where it is from'
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a setup -d 'have the host do it all by itself'
complete -c vfioctl -n "not __fish_seen_subcommand_from $verbs" -a undo -d 'take back what setup did'

complete -c vfioctl -l json -d 'print JSON'
complete -c vfioctl -l root -x -a '(__fish_complete_directories)' -d 'look at a captured or simulated host'
complete -c vfioctl -l connect -x -a 'qemu:///system qemu:///session' -d 'libvirt URI'
complete -c vfioctl -s q -l quiet -d 'say nothing but errors'
complete -c vfioctl -s v -l verbose -d 'print each step as it is taken'
complete -c vfioctl -s h -l help -d help
complete -c vfioctl -l version -d 'the version'

complete -c vfioctl -n '__fish_seen_subcommand_from list' -s o -l output -x -d columns \
    -a '(__fish_append , GPU CARD VRAM NODE ADDRESS MODE USED-BY READY SLOT IDS CLASS DRIVER GROUP FUNCTIONS ALIAS)'
complete -c vfioctl -n '__fish_seen_subcommand_from list status fit templates' -l noheadings -d 'no line of headings'
complete -c vfioctl -n '__fish_seen_subcommand_from status' -l watch -d 'go on, and show it anew when something changes'
complete -c vfioctl -n '__fish_seen_subcommand_from assign unassign create' -l gpu -x -a '(__vfioctl_gpus)' -d 'this GPU'
complete -c vfioctl -n '__fish_seen_subcommand_from fit' -l vms -x -d 'so many VMs'
complete -c vfioctl -n '__fish_seen_subcommand_from fit create tune' -l vcpus -x -d 'so many vCPUs each'
complete -c vfioctl -n '__fish_seen_subcommand_from fit create tune' -l memory -x -a '8G 16G 32G' -d 'so much memory each'
complete -c vfioctl -n '__fish_seen_subcommand_from fit create tune' -l hugepages -x -a 'auto no 2M 1G' -d 'which huge pages'
complete -c vfioctl -n '__fish_seen_subcommand_from to-vm to-host reset assign unassign create tune try boot reconcile capture setup undo' -l dry-run -d 'print the steps and change nothing'
complete -c vfioctl -n '__fish_seen_subcommand_from try' -l runs -x -d 'so many times into a VM and back'
complete -c vfioctl -n '__fish_seen_subcommand_from assign fit create' -l count -x -d 'so many GPUs for each VM'
complete -c vfioctl -n '__fish_seen_subcommand_from assign' -l share -d 'take a GPU that another definition names as well'
complete -c vfioctl -n '__fish_seen_subcommand_from capture' -F
complete -c vfioctl -n '__fish_seen_subcommand_from capture' -l with-serials -d 'leave serial numbers, MAC addresses and host names in'
complete -c vfioctl -n '__fish_seen_subcommand_from config' -l check -d validate
complete -c vfioctl -n '__fish_seen_subcommand_from config' -l boot -d 'what the boot step depends on'
complete -c vfioctl -n '__fish_seen_subcommand_from setup' -l timer -d 'have systemd run vfioctl reconcile every minute'
complete -c vfioctl -n '__fish_seen_subcommand_from setup' -l cron -d 'have cron run vfioctl reconcile every minute'
complete -c vfioctl -n '__fish_seen_subcommand_from setup' -l no-initramfs -d 'leave the initramfs as it is'
complete -c vfioctl -n '__fish_seen_subcommand_from tree' -l all -d 'root ports and switches too'
complete -c vfioctl -n '__fish_seen_subcommand_from tree' -l svg -r -F -d 'a drawing of the board'
complete -c vfioctl -n '__fish_seen_subcommand_from boot' -l early -d 'bind nothing, only keep host drivers off'
complete -c vfioctl -n '__fish_seen_subcommand_from hook' -a 'prepare release reconnect begin end (__vfioctl_vms)'
complete -c vfioctl -n '__fish_seen_subcommand_from show check to-vm to-host reset try boot setup' -a '(__vfioctl_gpus)'
complete -c vfioctl -n '__fish_seen_subcommand_from templates' -s o -l output -x -a 'NAME OS FROM SUMMARY' -d 'columns'
complete -c vfioctl -n '__fish_seen_subcommand_from create' -l template -x -a '(command vfioctl (__vfioctl_given) templates --noheadings -o NAME 2>/dev/null)' -d 'make it of this template'
complete -c vfioctl -n '__fish_seen_subcommand_from create' -l disk -r -F -d 'its disk'
complete -c vfioctl -n '__fish_seen_subcommand_from create' -l iso -r -F -d 'an image in a drive of its own'
complete -c vfioctl -n '__fish_seen_subcommand_from create' -l network -x -d "a network of libvirt's"
complete -c vfioctl -n '__fish_seen_subcommand_from create' -l bridge -x -d "a bridge of the host's"
complete -c vfioctl -n '__fish_seen_subcommand_from create tune' -l display -x -a 'none rescue' -d 'besides the GPU'
complete -c vfioctl -n '__fish_seen_subcommand_from create tune' -l os -x -a 'linux windows' -d 'what runs in it'
complete -c vfioctl -n '__fish_seen_subcommand_from create' -l evdev -r -F -d 'hand this input device in'
complete -c vfioctl -n '__fish_seen_subcommand_from create' -l looking-glass -x -a '1920x1080 2560x1440 3840x2160' -d 'shared memory for pictures of this size'
complete -c vfioctl -n '__fish_seen_subcommand_from create' -l usb-controller -x -d 'hand this USB controller in'
complete -c vfioctl -n '__fish_seen_subcommand_from create' -l start -d 'start it'
complete -c vfioctl -n '__fish_seen_subcommand_from create' -l print -d 'print its definition'
complete -c vfioctl -n '__fish_seen_subcommand_from assign unassign tune' -a '(__vfioctl_vms)'
