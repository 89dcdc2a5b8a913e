/** What has to be forgotten when someone signs out; parts add themselves when they are loaded. */

const tasks: (() => void)[] = []

export function onSignOut(task: () => void): void {
  tasks.push(task)
}

export function forgetPerson(): void {
  tasks.forEach((task) => task())
}
