/** What goes on after the same person signed in again; parts add themselves when they are loaded. */

const tasks: (() => void)[] = []

export function onSignedInAgain(task: () => void): void {
  tasks.push(task)
}

export function signedInAgain(): void {
  tasks.forEach((task) => task())
}
